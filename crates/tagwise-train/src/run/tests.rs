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
