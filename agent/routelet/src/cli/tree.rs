//! A tree of facts, drawn with lines.

use std::io;

use super::screen::Screen;

/// A fact and those that it rests on.
#[derive(Debug, Default)]
pub(super) struct Tree {
    text: String,
    children: Vec<Self>,
}

impl Tree {
    /// A fact.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            children: Vec::new(),
        }
    }

    /// A fact below this one.
    pub(super) fn add(&mut self, child: impl Into<Self>) -> &mut Self {
        self.children.push(child.into());
        self
    }

    /// Draws it.
    pub(super) fn draw(&self, screen: &mut Screen) -> io::Result<()> {
        screen.line(&self.text)?;
        self.draw_children(screen, "")
    }

    fn draw_children(&self, screen: &mut Screen, margin: &str) -> io::Result<()> {
        for (index, child) in self.children.iter().enumerate() {
            let (branch, below) = if index + 1 == self.children.len() {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            screen.line(format!("{margin}{branch}{}", child.text))?;
            child.draw_children(screen, &format!("{margin}{below}"))?;
        }
        Ok(())
    }
}

impl<T: Into<String>> From<T> for Tree {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}
