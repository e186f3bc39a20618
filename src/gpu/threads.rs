//! Work on several threads, where the platform has them.

/// Runs `work` for each item, several at a time. `on_done` runs on this thread after each.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn for_each<T: Sync>(items: &[T], work: impl Fn(&T) + Sync, mut on_done: impl FnMut()) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(items.len());
    let (next, (sender, done)) = (AtomicUsize::new(0), std::sync::mpsc::channel());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (next, work, sender) = (&next, &work, sender.clone());
            scope.spawn(move || {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(item);
                    // The receiver outlives the threads.
                    let _ = sender.send(());
                }
            });
        }
        drop(sender);
        done.iter().for_each(|()| on_done());
    });
}

/// Runs `work` for each item on the only thread.
#[cfg(target_arch = "wasm32")]
pub(super) fn for_each<T>(items: &[T], work: impl Fn(&T), mut on_done: impl FnMut()) {
    items.iter().map(work).for_each(|()| on_done());
}
