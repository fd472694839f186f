//! Whatever text the model holds, commands print nothing that a terminal obeys, and no line that is not theirs.

#![allow(clippy::unwrap_used)]

use bgp::types::is_unprintable;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::tests::at;
use crate::contract::served::served;

/// Line breaks, escape sequences, C1, DEL, separators, overrides of direction.
const HOSTILE: &str =
    "\nforged\r\x1b[2J\x1b]0;x\x07\u{9b}31m\u{85}\x7f\t\u{2028}\u{2029}\u{202e}\u{2066}";

/// The paths of all strings in a document.
fn strings(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at),
        Value::Array(all) => {
            for (index, one) in all.iter().enumerate() {
                strings(one, format!("{at}/{index}"), found);
            }
        }
        Value::Object(all) => {
            for (key, one) in all {
                strings(one, format!("{at}/{key}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The same with every text that may be any text made hostile, and how many these are.
fn poisoned<T: Serialize + DeserializeOwned>(model: &T) -> (T, usize) {
    let mut value = serde_json::to_value(model).unwrap();
    let mut paths = Vec::new();
    strings(&value, String::new(), &mut paths);
    let mut count = 0;
    for path in paths {
        let mut tried = value.clone();
        let text = tried.pointer_mut(&path).unwrap();
        *text = Value::String(format!("{}{HOSTILE}", text.as_str().unwrap()));
        // Where the model has an address or a word of its own, this is none.
        if serde_json::from_value::<T>(tried.clone()).is_ok() {
            value = tried;
            count += 1;
        }
    }
    (serde_json::from_value(value).unwrap(), count)
}

#[test]
fn no_text_of_the_model_steers_a_terminal_or_begins_a_line() {
    let served = served();
    let poisoned = served.fake.edit(|s| {
        let mut count = 0;
        macro_rules! poison {
            ($($model:expr),+) => {$(
                let (model, texts) = poisoned(&$model);
                ($model, count) = (model, count + texts);
            )+};
        }
        poison!(s.status, s.peers, s.routes, s.fib, s.prefix, s.service);
        // It is asked for by these.
        (s.service.namespace, s.service.name) = ("shop".into(), "web".into());
        count
    });
    assert!(poisoned > 50, "only {poisoned} texts");
    let name = format!("tor-a{HOSTILE}");
    for command in [
        "status",
        "peers",
        &format!("peers {name}"),
        "routes received",
        "routes best",
        "routes advertised",
        "fib",
        "explain 0.0.0.0/0",
        "explain service shop/web",
    ] {
        for (format, width) in [
            ("table", None),
            ("table", Some(60)),
            ("json", None),
            ("yaml", None),
        ] {
            let seen = at(&served, width, &format!("{command} -o {format}"));
            seen.result.unwrap();
            let text = seen.out + &seen.notes;
            let bad = text.chars().find(|c| *c != '\n' && is_unprintable(*c));
            assert_eq!(bad, None, "{command:?} as {format}: {text:?}");
            let forged = text.lines().any(|line| line.trim_start() == "forged");
            assert!(!forged, "{command:?} as {format}: {text}");
            assert!(text.contains("forged"), "{command:?} as {format}: {text}");
        }
        let data = |format: &str| at(&served, None, &format!("{command} -o {format}")).out;
        let json: Value = serde_json::from_str(&data("json")).unwrap();
        let yaml: Value = serde_saphyr::from_str(&data("yaml")).unwrap();
        assert_eq!(json, yaml, "{command:?}: the data stay the same");
    }
}
