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
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        // Places in a text that no person has seen.
        let message = message.split(" at line ").next().unwrap_or_default();
        Failure::Value(format!("{what}: {message}"))
    })
}

/// One of the words that an enumeration of the library is written as.
pub(crate) fn choice<T: DeserializeOwned>(argument: &str, word: &str) -> Outcome<T> {
    serde_json::from_value(serde_json::Value::String(word.to_string()))
        .map_err(|error| Failure::Value(format!("{argument}: {error}")))
}
