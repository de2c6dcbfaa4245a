//! Settings and figures as JSON text: what crosses the border that is neither array nor bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Failure, Outcome};

/// Figures for Python's `json.loads`.
pub(crate) fn write(value: &impl Serialize) -> Outcome<String> {
    Ok(serde_json::to_string(value)?)
}

/// Settings from Python's `json.dumps`; `what` names the argument or call that they are of.
pub(crate) fn read<T: DeserializeOwned>(what: &str, text: &str) -> Outcome<T> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let argument = path.rsplit('.').next().filter(|key| is_word(key));
        let argument = argument.map_or(what.to_string(), |key| key.replace('-', "_"));
        refused(&argument, &error.into_inner().to_string())
    })
}

/// One of the words that an enumeration of the library is written as.
pub(crate) fn choice<T: DeserializeOwned>(argument: &str, word: &str) -> Outcome<T> {
    serde_json::from_value(serde_json::Value::String(word.to_string()))
        .map_err(|error| refused(argument, &error.to_string()))
}

fn is_word(key: &str) -> bool {
    !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphabetic() || "-_".contains(c))
}

/// What serde says about a setting, as a sentence about the argument.
pub(crate) fn refused(argument: &str, message: &str) -> Failure {
    // Places in a text that no person has seen.
    let message = message.split(" at line ").next().unwrap_or_default();
    let unknown = message.strip_prefix("unknown variant `");
    let unknown = unknown.and_then(|rest| rest.split_once("`, expected "));
    Failure::Value(match unknown {
        Some((found, words)) => {
            let words = words.trim_start_matches("one of ").replace('`', "");
            format!("expected `{argument}` to be {words}, found {found:?}")
        }
        None => format!("{argument}: {message}"),
    })
}
