//! The experiments that come with the program can be meant, and say what their names promise.

use std::fs;
use std::path::{Path, PathBuf};

use tagwise_data::Placement;
use tagwise_nn::ClassifierKind;
use tagwise_train::{Experiment, Source};

/// Every `.toml` file of `experiments/`, by name.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn every_experiment_reads_and_is_named_like_its_file() {
    for path in files() {
        let text = fs::read_to_string(&path).unwrap();
        let experiment = Experiment::from_toml(&text, &[])
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = experiment.name.as_str();
        assert_eq!(Some(name), path.file_stem().unwrap().to_str());
        assert_eq!(
            name.contains("svhn"),
            experiment.data.source == Source::Svhn
        );
        assert_eq!(
            name.contains("etf"),
            experiment.network.classifier == ClassifierKind::FixedEtf
        );
        if let Some(train) = &experiment.data.train {
            assert_eq!(name.contains("imbalanced"), !train.pair_tiers.is_empty());
            let is_paper = train.placement == Placement::Paper;
            assert_eq!(!name.starts_with("cpu-"), is_paper);
        }
    }
}

#[test]
fn fixed_etfs_save_the_published_share_of_parameters() {
    let saving = |name: &str| {
        let path = files()
            .into_iter()
            .find(|path| path.file_stem().unwrap().to_str() == Some(name));
        let text = fs::read_to_string(path.unwrap()).unwrap();
        let experiment = Experiment::from_toml(&text, &[]).unwrap();
        let spec = experiment.network_spec(tagwise_data::ImageShape::new(56, 56, 1), 10);
        tagwise_train::ParameterCount::new(&spec).unwrap()
    };
    for (name, learned, fixed) in [
        ("etf-mnist-resnet18", 11_172_810, 8_858_610),
        ("etf-mnist-resnet50", 23_519_690, 22_472_178),
        ("etf-mnist-vgg16", 14_727_114, 12_407_272),
        ("etf-mnist-vgg19", 20_039_370, 17_719_528),
    ] {
        let count = saving(name);
        assert_eq!(
            (count.learned_head, count.trainable),
            (learned, fixed),
            "{name}"
        );
    }
}
