//! Tables of features and label sets, and of predictions.

use tagwise_data::samples::{Labels, Samples};
use tagwise_data::table::{TableOptions, Unlabelled};

use crate::scratch;

fn samples(name: &str, bytes: &[u8], options: &TableOptions) {
    let path = scratch::file(name, bytes);
    let _ = Samples::read(&path, options);
}

fn keep_unlabelled() -> TableOptions {
    TableOptions {
        unlabelled: Unlabelled::Keep,
        ..TableOptions::default()
    }
}

/// ARFF with MEKA's convention, and with the last attribute as a label.
pub fn arff(bytes: &[u8]) {
    samples("samples.arff", bytes, &TableOptions::default());
    let options = TableOptions {
        label_columns: vec!["y*".into()],
        ..keep_unlabelled()
    };
    samples("samples.arff", bytes, &options);
}

/// ARFF with Mulan's list of labels.
pub fn mulan(bytes: &[u8]) {
    let (list, table) = scratch::two_files(bytes);
    let options = TableOptions {
        label_list: Some(scratch::file("labels.xml", list)),
        ..keep_unlabelled()
    };
    samples("samples.arff", table, &options);
}

pub fn csv(bytes: &[u8]) {
    for label_columns in [vec![], vec!["y*".into()]] {
        let options = TableOptions {
            label_columns,
            ..keep_unlabelled()
        };
        samples("samples.csv", bytes, &options);
    }
}

pub fn libsvm(bytes: &[u8]) {
    samples("samples.svm", bytes, &TableOptions::default());
    let options = TableOptions {
        num_features: Some(8),
        num_classes: Some(4),
        ..keep_unlabelled()
    };
    samples("samples.svm", bytes, &options);
}

pub fn xmc(bytes: &[u8]) {
    samples("samples.txt", bytes, &TableOptions::default());
}

/// Predictions as CSV and as JSON, of three classes.
pub fn predictions(bytes: &[u8]) {
    let truth = scratch::file("truth.csv", b"labels,x\ncat;dog,0\ncow,0\ncat,1\n");
    let truth = Labels::read(&truth, &TableOptions::default()).expect("a sound table");
    for name in ["answers.csv", "answers.json"] {
        let _ = truth.read_predictions(&scratch::file(name, bytes));
    }
}
