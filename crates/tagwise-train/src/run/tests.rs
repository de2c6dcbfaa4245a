use std::fs;
use std::path::Path;

use super::*;

fn run() -> Run {
    let few = "data.train.per_multiplicity=[5, 1]";
    let experiment = Experiment::from_toml("", &["training.epochs=2", few]).unwrap();
    let data = experiment.data_sets().unwrap();
    Run::start(experiment, data, Device::cpu().unwrap()).unwrap()
}

#[test]
fn a_run_stopped_within_an_epoch_is_not_taken_for_a_whole_one() {
    let mut run = run();
    let stopped = run.train(|event| match event {
        Event::Step(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert_eq!(stopped.unwrap(), Ended::Stopped { last_epoch: 0 });
    let error = run.train(|_| ControlFlow::Continue(())).unwrap_err();
    let expected =
        "this run was stopped within an epoch; resume it from its folder, or start it anew";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_run_stopped_after_an_epoch_goes_on() {
    let mut run = run();
    let stopped = run.train(|event| match event {
        Event::Epoch { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert_eq!(stopped.unwrap(), Ended::Stopped { last_epoch: 1 });
    let ended = run.train(|_| ControlFlow::Continue(())).unwrap();
    assert_eq!(ended, Ended::Finished);
}

fn go_on(mut run: Run) -> (Vec<EpochRecord>, Vec<tagwise_nn::NamedTensor>) {
    let ended = run.train(|_| ControlFlow::Continue(())).unwrap();
    assert_eq!(ended, Ended::Finished);
    (run.records().to_vec(), run.engine().state().unwrap())
}

fn resume(folder: &Path) -> Result<Run> {
    let data = run().data;
    Run::resume(RunFolder::open(folder)?, data, Device::cpu().unwrap())
}

#[test]
fn a_run_ended_before_its_first_checkpoint_starts_over_in_its_folder() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("run");
    let partial = folder.join(".partial-x");
    let (whole, weights) = go_on(run());
    drop(
        run()
            .in_folder(RunFolder::create(&folder).unwrap())
            .unwrap(),
    );
    for left in ["metrics.jsonl", "config.toml"] {
        fs::remove_file(folder.join("checkpoint.safetensors")).ok();
        fs::write(&partial, "half of a checkpoint").unwrap();
        let (records, resumed) = go_on(resume(&folder).unwrap());
        assert_eq!(resumed, weights);
        assert_eq!(records.len(), whole.len());
        assert!(!partial.exists());
        fs::remove_file(folder.join("checkpoint-previous.safetensors")).unwrap();
        fs::remove_file(folder.join(left)).unwrap();
        fs::remove_file(folder.join("checkpoint.safetensors")).unwrap();
        if left == "config.toml" {
            fs::remove_file(folder.join("metrics.jsonl")).unwrap();
            fs::remove_file(folder.join("metrics.csv")).unwrap();
            fs::remove_file(folder.join("network.json")).unwrap();
        }
    }
    let message = resume(&folder).unwrap_err().to_string();
    assert!(message.ends_with("config.toml is missing"), "{message}");
    fs::write(&partial, "half of a configuration").unwrap();
    assert!(RunFolder::is_free(&folder));
    RunFolder::create(&folder).unwrap();
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    assert!(!RunFolder::is_free(&folder));
    let refused = RunFolder::create(&folder);
    assert!(matches!(refused, Err(Error::RunFolderExists(_))));
}

#[test]
fn two_runs_do_not_share_a_folder() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("run");
    let first = run()
        .in_folder(RunFolder::create(&folder).unwrap())
        .unwrap();
    let message = resume(&folder).unwrap_err().to_string();
    let expected = format!(
        "another process trains in {}; wait until it ends",
        folder.display()
    );
    assert_eq!(message, expected);
    drop(first);
    go_on(resume(&folder).unwrap());
}

#[test]
fn the_records_of_another_run_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("run");
    go_on(
        run()
            .in_folder(RunFolder::create(&folder).unwrap())
            .unwrap(),
    );
    let path = folder.join("metrics.jsonl");
    let records = fs::read_to_string(&path).unwrap();
    let other = records.replace("\"epoch\":2", "\"epoch\":2 ");
    assert_ne!(records, other);
    fs::write(&path, other).unwrap();
    let message = resume(&folder).unwrap_err().to_string();
    let expected =
        "expected the records that epoch 2 was saved with, found others; start the run anew";
    assert!(message.ends_with(expected), "{message}");
    fs::write(&path, format!("{records}{{\"epoch\":3, half")).unwrap();
    assert!(resume(&folder).is_err());
    fs::write(&path, records.lines().next().unwrap()).unwrap();
    let message = resume(&folder).unwrap_err().to_string();
    assert!(
        message.contains("expected records of epochs 0 to 2, found 1"),
        "{message}"
    );
}

#[test]
fn the_checkpoint_before_is_whole_whatever_the_last_becomes() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(&scratch.path().join("run")).unwrap();
    let read = |name: &str| fs::read(folder.file(name)).unwrap();
    folder.keep_previous("last", "previous").unwrap();
    for text in ["one", "two", "three"] {
        folder.write("last", text.as_bytes()).unwrap();
        folder.keep_previous("last", "previous").unwrap();
        folder.keep_previous("last", "previous").unwrap(); // as after a crash between the two
        assert_eq!(read("previous"), text.as_bytes());
        folder.write("last", b"next").unwrap();
        assert_eq!(read("previous"), text.as_bytes());
    }
    assert!(!folder.file(".partial-link").exists());
}

#[test]
fn finishing_can_be_stopped_and_is_done_by_resuming() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("run");
    let mut run = run()
        .in_folder(RunFolder::create(&folder).unwrap())
        .unwrap();
    run.train(|_| ControlFlow::Continue(())).unwrap();
    let stopped = run.finish_with(|done, total| {
        assert!(0 < done && done <= total);
        ControlFlow::Break(())
    });
    assert!(matches!(stopped, Err(Error::Interrupted)));
    assert!(!folder.join("summary.json").exists());
    let (mut last, mut calls) = (0, 0);
    let finished = resume(&folder).unwrap().finish_with(|done, total| {
        (last, calls) = (total - done, calls + 1);
        ControlFlow::Continue(())
    });
    assert!(finished.is_ok());
    assert!(last == 0 && calls >= 3);
}

#[test]
fn the_set_likelihood_learns_its_potentials_and_goes_on_with_them() {
    let run = |device: &Device| {
        let settings = [
            "training.epochs=3",
            "data.train.per_multiplicity=[20, 10]",
            "loss.name=set-likelihood",
            "loss.multiplicities=linear",
            "loss.seen_sets=learned",
        ];
        let experiment = Experiment::from_toml("", &settings).unwrap();
        let data = experiment.data_sets().unwrap();
        Run::start(experiment, data, *device).unwrap()
    };
    let device = Device::cpu().unwrap();
    let (whole, weights) = go_on(run(&device));
    assert!(whole[3].loss.unwrap() < whole[1].loss.unwrap());

    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("run");
    let mut stopped = run(&device)
        .in_folder(RunFolder::create(&path).unwrap())
        .unwrap();
    stopped
        .train(|event| match event {
            Event::Epoch { .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
        .unwrap();
    let data = run(&device).data;
    drop(stopped);
    let folder = RunFolder::open(&path).unwrap();
    let mut resumed = Run::resume(folder.clone(), data, device).unwrap();
    resumed.train(|_| ControlFlow::Continue(())).unwrap();
    assert_eq!(resumed.engine().state().unwrap(), weights);
    let potentials = resumed.engine().potentials().unwrap().unwrap();

    let finished = resumed.finish().unwrap();
    let decoders: Vec<&str> = finished.summary.test.iter().map(|d| &*d.decoder).collect();
    assert_eq!(decoders[..2], ["most probable set", "largest expected F1"]);
    assert_eq!(folder.potentials().unwrap(), Some(potentials));
    let weights = tagwise_nn::read_safetensors(&path.join("weights.safetensors")).unwrap();
    assert!(
        weights
            .iter()
            .all(|tensor| !tensor.name.starts_with("potentials"))
    );
}

#[test]
fn an_engine_without_potentials_is_not_trained_with_the_set_likelihood() {
    let settings = [
        "loss.name=set-likelihood",
        "data.train.per_multiplicity=[5, 1]",
    ];
    let experiment = Experiment::from_toml("", &settings).unwrap();
    let data = experiment.data_sets().unwrap();
    let spec = experiment.network_spec(data.image_shape(), data.num_classes());
    let sgd = experiment.training.sgd();
    let engine = crate::CpuEngine::new(&spec, 1, Device::cpu().unwrap(), sgd).unwrap();
    let error = Run::start_on(Box::new(engine), experiment, data).unwrap_err();
    insta::assert_snapshot!(error, @r#"this engine learns no potentials of multiplicities or label sets, as loss.name = "set-likelihood" asks; train on the cpu, or with another loss"#);
}
