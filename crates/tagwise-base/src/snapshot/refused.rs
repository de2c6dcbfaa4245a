//! Kinds of files that are not read, and the lines of Python that turn them into one that is.

use std::path::Path;

use super::choice::FEATURE_NAMES;

/// What to do with a file of a kind that is not read; none for endings that say nothing.
pub(super) fn advice(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let (stem, ending) = name.rsplit_once('.')?;
    let target = format!(
        "np.savez({:?}, features=features, targets=targets)",
        format!("{stem}.npz")
    );
    let numpy_of_torch = "# tensors: .numpy()";
    Some(match ending.to_ascii_lowercase().as_str() {
        "pt" | "pth" | "ckpt" | "bin" => lines(
            "this is a pickle of PyTorch, which can run any code when it is read; if you trust it, convert it in Python",
            &[
                "import numpy as np, torch",
                &format!("data = torch.load({name:?}, map_location=\"cpu\", weights_only=True)"),
                &format!(
                    "features, targets = data[\"features\"], data[\"targets\"]  {numpy_of_torch}"
                ),
                &target,
            ],
        ),
        "pkl" | "pickle" | "joblib" => lines(
            "this is a pickle, which can run any code when it is read; if you trust it, convert it in Python",
            &[
                "import numpy as np",
                &match ending.eq_ignore_ascii_case("joblib") {
                    true => format!("import joblib; data = joblib.load({name:?})"),
                    false => format!("import pickle; data = pickle.load(open({name:?}, \"rb\"))"),
                },
                "features, targets = data[\"features\"], data[\"targets\"]",
                &target,
            ],
        ),
        "mat" => lines(
            "this is a file of MATLAB, which is not read; convert it in Python (version 7.3 with h5py, as .h5)",
            &[
                "import numpy as np, scipy.io",
                &format!("data = scipy.io.loadmat({name:?})"),
                "features, targets = data[\"features\"], data[\"targets\"]  # rows are samples",
                &target,
            ],
        ),
        "h5" | "hdf5" | "hdf" => lines(
            "this is a file of HDF5, which is not read; convert it in Python",
            &[
                "import numpy as np, h5py",
                &format!("with h5py.File({name:?}) as data:"),
                "    features, targets = data[\"features\"][:], data[\"targets\"][:]",
                &target,
            ],
        ),
        _ => return None,
    })
}

/// The lines that turn an array of Python objects into one of text.
pub(super) fn objects(name: &str) -> String {
    let rows = format!("data[{name:?}]");
    let converted = match name == "features" || FEATURE_NAMES.contains(&name) {
        true => format!("np.stack({rows}).astype(np.float32)"),
        false => {
            format!("np.array([\";\".join(map(str, np.atleast_1d(row))) for row in {rows}])")
        }
    };
    lines(
        &format!(
            "`{name}` holds Python objects, which only running a pickle could read; if you trust it, convert it in Python"
        ),
        &[
            "data = dict(np.load(\"FILE.npz\", allow_pickle=True))",
            &format!("{rows} = {converted}"),
            "np.savez(\"CONVERTED.npz\", **data)",
        ],
    )
}

/// A sparse matrix alone is no snapshot.
pub(super) fn sparse(path: &Path) -> String {
    let name = path.file_name().and_then(|name| name.to_str());
    lines(
        "this is one sparse matrix of SciPy, features or labels alone; put both into one file in Python",
        &[
            "import numpy as np, scipy.sparse",
            &format!(
                "features = scipy.sparse.load_npz({:?}).toarray()",
                name.unwrap_or("X.npz")
            ),
            "targets = scipy.sparse.load_npz(\"Y.npz\").toarray()",
            "np.savez(\"dense.npz\", features=features, targets=targets)",
        ],
    )
}

fn lines(sentence: &str, code: &[&str]) -> String {
    let indented: Vec<String> = code.iter().map(|line| format!("    {line}")).collect();
    format!("{sentence}:\n{}", indented.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pickles_matlab_and_hdf5_come_with_the_lines_that_convert_them() {
        let said = |name: &str| advice(Path::new(name)).unwrap();
        insta::assert_snapshot!(said("run/dump.PT"), @r#"
        this is a pickle of PyTorch, which can run any code when it is read; if you trust it, convert it in Python:
            import numpy as np, torch
            data = torch.load("dump.PT", map_location="cpu", weights_only=True)
            features, targets = data["features"], data["targets"]  # tensors: .numpy()
            np.savez("dump.npz", features=features, targets=targets)
        "#);
        insta::assert_snapshot!(said("a.pkl"), @r#"
        this is a pickle, which can run any code when it is read; if you trust it, convert it in Python:
            import numpy as np
            import pickle; data = pickle.load(open("a.pkl", "rb"))
            features, targets = data["features"], data["targets"]
            np.savez("a.npz", features=features, targets=targets)
        "#);
        insta::assert_snapshot!(said("scene.mat"), @r#"
        this is a file of MATLAB, which is not read; convert it in Python (version 7.3 with h5py, as .h5):
            import numpy as np, scipy.io
            data = scipy.io.loadmat("scene.mat")
            features, targets = data["features"], data["targets"]  # rows are samples
            np.savez("scene.npz", features=features, targets=targets)
        "#);
        assert!(said("a.hdf5").contains("h5py.File(\"a.hdf5\")"));
        assert!(said("a.joblib").contains("joblib.load"));
        assert_eq!(advice(Path::new("a.npz")), None);
    }
}
