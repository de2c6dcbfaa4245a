//! How a file of features is opened.

/// What happens to samples whose features hold NaN or infinity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NonFinite {
    /// They are an error.
    #[default]
    Refuse,
    /// They are left out, and counted.
    Skip,
}

/// Whether a file must have labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LabelsIn {
    /// Without labels it is refused.
    #[default]
    Required,
    /// Without labels, as new samples are, each sample has the empty set, and
    /// [`SnapshotFile::has_labels`](super::SnapshotFile::has_labels) says so.
    Optional,
    /// They lie in another file and come by
    /// [`SnapshotFile::with_targets`](super::SnapshotFile::with_targets); those of this file are
    /// passed over.
    Elsewhere,
}

/// How a file of features is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// What happens to samples with NaN or infinity.
    pub non_finite: NonFinite,
    /// Whether the file must have labels.
    pub labels: LabelsIn,
    /// Which arrays are meant, where their names do not say it.
    pub names: ArrayNames,
}

/// Which arrays to read, where the usual names are not the ones, and what the arrays leave open.
///
/// ```
/// use tagwise_base::snapshot::ArrayNames;
///
/// let names = ArrayNames {
///     targets: Some("animal".into()),
///     class_names: Some(["cow", "ant", "bee"].map(String::from).to_vec()),
///     ..ArrayNames::default()
/// };
/// assert_eq!(names.class_names.unwrap().len(), 3);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArrayNames {
    /// The name of the features `[N, d]`.
    pub features: Option<String>,
    /// The name of the labels: `[N, K]` of 0 and 1, or `[N]` of class numbers or names.
    pub targets: Option<String>,
    /// What the K classes are called, in their order, instead of what the file says; labels that
    /// are among these names are names.
    pub class_names: Option<Vec<String>>,
    /// What the classes of the data are called that these samples belong to, such as those of a head:
    /// the classes of labels that are written as names, where nobody says otherwise.
    pub expected_names: Option<Vec<String>>,
    /// Number of classes K where labels are numbers, unless the file states it; by default the
    /// largest that occurs decides.
    pub num_classes: Option<usize>,
}
