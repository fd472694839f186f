//! Why something failed, as a sentence for people: what the API server answered and what to do about it, and errors
//! with their causes.
//!
//! Errors of libraries are never shown as they are: they write types of Rust, numbers of the operating system, and each
//! cause twice. Those of the operating system are [`OsError`].

mod api;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::io;

use bgp::os_error::{OsError, without_code};

pub(crate) use api::{is_refusal, of_request, of_watch};

/// An error and its causes, each said once.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut cause = Some(error);
    while let Some(next) = cause {
        let (words, is_whole) = words(next);
        text = match text.as_str() {
            "" => words,
            said if said.contains(&words) => text,
            said => format!("{said}: {words}"),
        };
        cause = next.source().filter(|_| !is_whole);
    }
    text
}

/// An error without its causes, and whether these are in it all the same.
fn words(error: &(dyn Error + 'static)) -> (String, bool) {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return (OsError::words(error), true);
    }
    if let Some(error) = error.downcast_ref::<kube::Error>() {
        return (of_request(error), true);
    }
    (without_code(&error.to_string()), false)
}

/// The names, as people list them.
pub(crate) fn list(names: &[&str]) -> String {
    match names {
        [] => "no".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// What is said of watches of several kinds: whatever many of them suffer from is said once, with their names.
///
/// `kinds`: each kind, why its watch does not get on, and whether it was listed at some time.
pub(crate) fn of_watches<'a>(
    kinds: impl Iterator<Item = (&'a str, Option<&'a str>, bool)>,
) -> Vec<String> {
    let mut said: Vec<(Option<&str>, bool, Vec<&str>)> = Vec::new();
    for (kind, error, listed) in kinds {
        if error.is_none() && listed {
            continue;
        }
        match said
            .iter_mut()
            .find(|(e, l, _)| *e == error && *l == listed)
        {
            Some((.., kinds)) => kinds.push(kind),
            None => said.push((error, listed, vec![kind])),
        }
    }
    let sentences = said.into_iter().map(|(error, listed, kinds)| {
        let kinds = list(&kinds);
        match (error, listed) {
            (Some(error), false) => format!("{kinds} objects cannot be listed: {error}"),
            (Some(error), true) => format!("{kinds} objects cannot be watched: {error}"),
            (None, _) => format!("{kinds} objects are not listed yet"),
        }
    });
    sentences.collect()
}
