//! Peak rates of a device: memory bandwidth, and operations by type of number.

use std::fmt;

use super::timer::{Sides, Timer};
use crate::error::Result;
use crate::gpu::{Allocator, Features, Purpose, Recording, Slice};
use crate::kernels::peak::{self, Numbers};

/// Bytes that are copied: more than caches hold.
const COPIED: u64 = 64 << 20;
/// Number of threads, enough for every core of the largest devices.
const THREADS: usize = 1 << 18;
/// Launches of the chain that measures a launch.
const CHAIN: usize = 64;
/// Iterations of the first run, from which the number of iterations is computed.
const FIRST_TURNS: usize = 16;
/// Largest number of iterations.
const MOST_TURNS: usize = 1 << 16;
/// Intended duration of a launch in milliseconds.
const LAUNCH_MS: f64 = 40.0;

/// The best rate of one kind of number.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Peak {
    /// Type of number.
    pub numbers: Numbers,
    /// 1e9 operations a second; a multiply-add counts as two.
    pub gops: f64,
}

/// Peak rates of a device.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Peaks {
    /// 1e9 bytes a second, read and written together, of a copy.
    pub copy_gb_s: f64,
    /// A launch of one workgroup that waits for the launch before; `None` on a processor, and where the end of work is noticed
    /// late.
    pub launch: Option<Sides>,
    /// Peak for each type of number that the device supports.
    pub arithmetic: Vec<Peak>,
}

impl Peaks {
    /// 1e9 operations a second for the numbers that a kernel with these features multiplies.
    pub fn gops(&self, uses: Features) -> f64 {
        let numbers = match uses {
            _ if uses.contains(Features::DOT) => Numbers::Int8,
            _ if uses.contains(Features::F16) => Numbers::F16,
            _ => Numbers::F32,
        };
        self.arithmetic.iter().find(|peak| peak.numbers == numbers).map_or(f64::NAN, |peak| peak.gops)
    }
}

impl fmt::Display for Peaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "copy {:.1} GB/s", self.copy_gb_s)?;
        if let Some(Sides { submit_ms, device_ms }) = self.launch {
            write!(f, ", a launch {:.2} us to submit and {:.2} us to run", 1e3 * submit_ms, 1e3 * device_ms)?;
        }
        self.arithmetic.iter().try_for_each(|peak| write!(f, ", {:?} {:.1} GOP/s", peak.numbers, peak.gops))
    }
}

/// Measures all peaks.
pub(super) async fn measure(timer: &Timer) -> Result<Peaks> {
    let gpu = &timer.gpu;
    let bytes = COPIED.min(gpu.max_binding());
    let alloc = |bytes| gpu.alloc("bench", Purpose::Activations, bytes);
    let (from, to) = (alloc(bytes)?, alloc(bytes)?);
    let mut copy = Recording::new();
    copy.copy(from.all(), to.all());
    let copy_gb_s = 2.0 * bytes as f64 / timer.time(&copy).await? / 1e6;
    let mut arithmetic = Vec::new();
    let numbers: Vec<f32> = (0..THREADS).map(|thread| thread as f32 / THREADS as f32 - 0.5).collect(); // [threads]
    let (x, y) = (gpu.upload("bench", Purpose::Activations, &numbers)?.all(), alloc(4 * THREADS as u64)?.all());
    let launch = of_launch(timer, &x, &y).await?;
    let is_there = |numbers: &Numbers| {
        let runs = !gpu.runs_at_once() || peak::kernel(*numbers).op().is_some();
        runs && gpu.features().contains(numbers.needs())
    };
    for numbers in Numbers::ALL.into_iter().filter(is_there) {
        let (mut turns, mut gops) = (FIRST_TURNS, 0.0);
        loop {
            let mut recording = Recording::new();
            peak::record(&mut recording, numbers, THREADS, turns, &x, &y)?;
            let ms = timer.time(&recording).await?;
            gops = f64::max(gops, numbers.operations(THREADS, turns) as f64 / ms / 1e6);
            if ms <= 0.0 || ms >= LAUNCH_MS / 4.0 || turns >= MOST_TURNS {
                break;
            }
            turns = (turns as f64 * (LAUNCH_MS / ms).clamp(2.0, 16.0)) as usize;
        }
        arithmetic.push(Peak { numbers, gops });
    }
    Ok(Peaks { copy_gb_s, launch, arithmetic })
}

/// One launch of a chain, each of which waits for the one before.
async fn of_launch(timer: &Timer, x: &Slice, y: &Slice) -> Result<Option<Sides>> {
    let mut chain = Recording::new();
    for _ in 0..CHAIN {
        peak::record(&mut chain, Numbers::F32, 1, 1, x, y)?;
    }
    let of_one = |ms: f64| ms / CHAIN as f64;
    let sides = timer.sides(&chain).await?;
    Ok(sides.map(|Sides { submit_ms, device_ms }| Sides { submit_ms: of_one(submit_ms), device_ms: of_one(device_ms) }))
}
