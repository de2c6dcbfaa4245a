//! Training steps and evaluation passes take no memory once one of each has run.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use tagwise_nn::{
    Architecture, ClassifierKind, Device, ImageShape, Network, NetworkSpec, Precision, Sgd,
    SgdConfig,
};

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn steps_after_the_first_allocate_nothing() {
    let spec = NetworkSpec {
        architecture: Architecture::Small,
        input: ImageShape {
            height: 8,
            width: 8,
            channels: 1,
        },
        num_classes: 3,
        feature_dim: None,
        classifier: ClassifierKind::Learned,
    };
    for precision in [Precision::F32, Precision::Bf16] {
        let device = Device::cpu().expect("a device").with_precision(precision);
        assert_eq!(allocations(&spec, device), 0, "{precision:?}");
    }
}

/// Allocations of the third to fifth step.
fn allocations(spec: &NetworkSpec, device: Device) -> usize {
    let mut network = Network::new(spec, 0, device).expect("a network");
    let mut sgd = Sgd::new(SgdConfig::default(), &network);
    let (images, gradient) = (vec![0.5; 5 * 64], vec![0.1; 5 * 3]);
    let mut step = || {
        network.forward_train(&images, 5).expect("a pass");
        network.backward(&gradient, None).expect("gradients");
        sgd.step(&mut network, 0.01).expect("a step");
        network.forward_eval(&images, 5).expect("a pass");
    };
    // Inside the pool: entering it from outside lets rayon grow its queue now and then.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .expect("a pool");
    pool.install(|| {
        step();
        step();
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        (0..3).for_each(|_| step());
        ALLOCATIONS.load(Ordering::Relaxed) - before
    })
}
