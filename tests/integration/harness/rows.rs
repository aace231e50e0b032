//! What the tests of faults share: many rows, each of which waits most of its time.

use super::Done;

/// Runs every row at the same time as others.
pub fn each<T: Send>(rows: Vec<T>, test: impl Fn(T) + Sync) {
    let rows = std::sync::Mutex::new(rows.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                loop {
                    let Some(row) = rows.lock().unwrap().next() else { return };
                    test(row);
                }
            });
        }
    });
}

/// The run failed before any write, says so, and what to do.
#[track_caller]
pub fn nothing_was_changed(done: &Done) {
    done.says(&["nothing was changed", "help: "]);
}
