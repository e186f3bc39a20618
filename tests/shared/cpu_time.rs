//! Limits of time that hold on a busy machine, too.

use std::time::Duration;

/// Time that this thread has had a processor. Other programs do not change it, unlike the time on a clock.
///
/// # Panics
/// If the kernel does not tell.
#[cfg(target_os = "linux")]
pub(crate) fn cpu_time() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").expect("statistics of the scheduler");
    let nanoseconds = statistics.split(' ').next().and_then(|text| text.parse().ok()).expect("nanoseconds");
    Duration::from_nanos(nanoseconds)
}

/// Time on a clock, where the system does not tell the time of a thread.
#[cfg(not(target_os = "linux"))]
pub(crate) fn cpu_time() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}
