//! Pictures and sets of images.

use std::path::Path;

use tagwise_data::own::{self, OwnSpec};
use tagwise_data::read::picture::Picture;
use tagwise_data::read::{Part, cifar10, idx, svhn};

use crate::scratch;

/// PNG and JPEG.
pub fn picture(bytes: &[u8]) {
    let _ = Picture::from_bytes(bytes, Path::new("picture"));
}

/// A table of own images beside two pictures of one pixel.
pub fn own(bytes: &[u8]) {
    for name in ["own/0.png", "own/1.png"] {
        scratch::file(name, &crate::seeds::grey_pixel());
    }
    let table = scratch::file("own/labels.csv", bytes);
    let spec = OwnSpec {
        labels: Some(table),
        height: Some(2),
        width: Some(2),
        ..OwnSpec::default()
    };
    let _ = own::read(&spec, 0);
}

/// Images and labels of MNIST's format.
pub fn idx(bytes: &[u8]) {
    let (images, labels) = scratch::two_files(bytes);
    let images = scratch::file("images.idx", images);
    let labels = scratch::file("labels.idx", labels);
    let _ = idx::read(&images, &labels, 10);
}

/// The archive of CIFAR-10.
pub fn cifar10(bytes: &[u8]) {
    let archive = scratch::file("cifar/cifar-10-binary.tar.gz", bytes);
    let _ = cifar10::read(&archive, Part::Test);
}

/// The table of digit boxes of SVHN, with one picture.
pub fn svhn(bytes: &[u8]) {
    let (table, picture) = scratch::two_files(bytes);
    scratch::file("svhn/test/1.png", picture);
    let table = scratch::file("svhn/boxes_test.csv", table);
    let _ = svhn::read(table.parent().expect("a folder"), Part::Test);
}
