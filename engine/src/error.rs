//! What went wrong, as one sentence for a person.

use std::fmt;

use datafusion::error::DataFusionError;

/// A failed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// Something was asked for that cannot be meant.
    Usage(String),
    /// The work could not be done.
    Failed(String),
    /// The user pressed Ctrl-C.
    Interrupted,
}

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Failed(message) => f.write_str(message),
            Self::Interrupted => f.write_str("stopped before the work was done"),
        }
    }
}

impl std::error::Error for Error {}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        Self::Failed(sentence(&error.to_string()))
    }
}

impl From<tagwise::Error> for Error {
    fn from(error: tagwise::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Words that engines put before a message on its way up.
const PREFIXES: [&str; 12] = [
    "DataFusion error: ",
    "Execution error: ",
    "External error: ",
    "Error during planning: ",
    "Shared error: ",
    "Object Store error: ",
    "Parquet error: ",
    "Arrow error: ",
    "Resources exhausted: ",
    "Invalid or Unsupported Configuration: ",
    "type_coercion\ncaused by\n",
    "Schema error: ",
];

/// Words of a connection that was not made, or that broke.
const CONNECTION: [&str; 4] = [
    "tcp connect error",
    "h2 protocol error",
    "transport error",
    "Transport(",
];

/// The sentence in what an engine reports. A function's own message is between its name and an end
/// mark; a message of the cluster has it somewhere within.
fn sentence(text: &str) -> String {
    if let Some(own) = own_message(text) {
        return own;
    }
    if let Some(name) = missing_function(text) {
        return format!(
            "a process of the cluster does not know the function {name}; start every scheduler and \
             executor with tagwise-cluster of this version"
        );
    }
    if CONNECTION.iter().any(|words| text.contains(words)) {
        let text = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        return format!(
            "the scheduler or an executor cannot be reached or has gone away ({text}); see whether they run, \
             and run this again"
        );
    }
    let mut text = text.split("\n\nbacktrace").next().unwrap_or(text).trim();
    let is_exhausted = text.contains("Resources exhausted") || text.contains("ResourcesExhausted");
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest.trim_start();
    }
    let line = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    match is_exhausted {
        true => format!(
            "the memory pool is too small for the states of all groups ({line}); give more with \
             --memory, lay files out in folders by what --by names, or keep less with --scatter trace"
        ),
        false => line,
    }
}

/// The function that a scheduler or an executor of another program does not have.
fn missing_function(text: &str) -> Option<String> {
    let names = crate::function::names();
    let is_missing = |name: &&String| {
        ["UDF", "UDAF"].iter().any(|kind| {
            let plain = format!("There is no {kind} named \"{name}\"");
            text.contains(&plain) || text.contains(&plain.replace('"', "\\\""))
        })
    };
    names.iter().find(is_missing).cloned()
}

fn own_message(text: &str) -> Option<String> {
    let names = crate::function::names();
    let begin = names.iter().find_map(|name| {
        let mark = format!("[{name}] ");
        text.find(&mark).map(|place| place + mark.len())
    })?;
    let end = text[begin..].find(" [end]")? + begin;
    Some(text[begin..end].replace("\\\"", "\"").replace("\\'", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_of_a_function_is_found_in_what_a_cluster_reports() {
        let own = "expected one of 2 classes such as sea, sky, found \"sun\"";
        let direct = DataFusionError::Execution(format!("[label_ids] {own} [end]"));
        assert_eq!(Error::from(direct), Error::Failed(own.into()));
        let escaped = own.replace('"', "\\\"");
        let of_cluster = format!(
            "Execution error: Job aB1 failed: Task failed: DataFusionError(Execution(\"[label_ids] {escaped} [end]\"))"
        );
        let of_cluster = DataFusionError::Execution(of_cluster);
        assert_eq!(Error::from(of_cluster), Error::Failed(own.into()));
    }

    #[test]
    fn a_function_that_a_process_lacks_is_said() {
        let text = r#"DataFusionError(Internal("There is no UDAF named \"nc_state\" in the TaskContext"))"#;
        let error = Error::from(DataFusionError::Execution(text.into())).to_string();
        assert!(
            error.starts_with("a process of the cluster does not know the function nc_state"),
            "{error}"
        );
    }

    #[test]
    fn what_engines_put_before_a_message_is_left_out() {
        let error = DataFusionError::External("no such bucket".into());
        assert_eq!(Error::from(error), Error::Failed("no such bucket".into()));
        let error = DataFusionError::ResourcesExhausted("1 MiB left".into());
        assert!(Error::from(error).to_string().contains("--memory"));
    }
}
