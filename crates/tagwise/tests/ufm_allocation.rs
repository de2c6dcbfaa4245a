//! The inner loop of the solver allocates nothing: products with the Hessian reuse what the solve
//! set aside at its start.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use tagwise::LabelSet;
use tagwise::ufm::{LabelCounts, SolverSettings, UfmProblem, UfmSettings, Verdict, solve};

struct Counting;

/// Of all threads, the test harness's own included.
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Of this thread.
    static OWN_ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        OWN_ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`, which is that of the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Products between two calls of `progress` within one Newton step, and allocations in them.
fn products_and_allocations(
    num_classes: u32,
    num_sets: u32,
    count: fn() -> usize,
) -> (usize, usize) {
    let sets = (0..num_sets).map(|i| {
        let labels = [i, i * i + 3, 7 * i + i / num_classes].map(|label| label % num_classes);
        (LabelSet::new(labels), f64::from(1 + i % 5))
    });
    let labels = LabelCounts::of_sets(num_classes as usize, sets).unwrap();
    let problem = UfmProblem::new(labels, UfmSettings::default()).unwrap();
    // Threads set their buffers aside in their first products.
    const WARM: usize = 20;
    let (mut products, mut allocations) = (0, 0);
    let mut last = (0, 0, 0);
    let solution = solve(&problem, &SolverSettings::default(), |progress| {
        let now = count();
        let (step, product, before) = last;
        if (step, product + 1) == (progress.iterations, progress.hessian_products)
            && product >= WARM
        {
            products += 1;
            allocations += now - before;
        }
        last = (progress.iterations, progress.hessian_products, count());
        ControlFlow::Continue(())
    });
    assert_eq!(solution.unwrap().certificate.verdict, Verdict::Certified);
    (products, allocations)
}

#[test]
fn products_with_the_hessian_allocate_nothing() {
    let own = || OWN_ALLOCATIONS.with(Cell::get);
    let (products, allocations) = products_and_allocations(11, 150, own);
    assert!(products > 50, "{products}");
    assert_eq!(allocations, 0, "in {products} products on one thread");
    let all = || ALLOCATIONS.load(Ordering::Relaxed);
    // The thread pool's queue takes a block of memory for every 63 jobs from outside.
    let (products, allocations) = products_and_allocations(37, 1200, all);
    assert!(products > 50, "{products}");
    assert!(
        allocations <= products,
        "{allocations} in {products} products on all threads"
    );
}
