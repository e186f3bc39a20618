//! Work as data: a list of dispatches that can be printed, compared and run.

use std::fmt;
use std::ops::Range;

use super::buffer::Slice;
use super::kernel::Kernel;
use super::kernel_config::KernelConfig;
use crate::error::{Error, Result};

/// Most workgroups in one dimension of a grid, on every device.
const MAX_GRID: u32 = 65_535;

/// One kernel launch.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// What runs.
    pub kernel: Kernel,
    /// Uniform parameters, a multiple of 16 bytes.
    pub params: Vec<u8>,
    /// What its storage bindings hold, from binding 1 on.
    pub buffers: Vec<Slice>,
    /// Workgroups in x, y and z.
    pub grid: [u32; 3],
    /// Sizes worth reading in a listing, such as `m=20 n=96 k=64`.
    pub note: String,
}

/// One step of a recording.
#[derive(Debug, Clone)]
pub enum Command {
    /// Runs a kernel that takes so many FLOP, as far as they are counted.
    Dispatch(Dispatch, u64),
    /// Copies the first slice over the second, of equal length.
    Copy(Slice, Slice),
}

impl Command {
    /// FLOP that it takes, as far as they are counted.
    pub fn flops(&self) -> u64 {
        if let Self::Dispatch(_, flops) = self { *flops } else { 0 }
    }
}

/// What the GPU is to do, in order.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    commands: Vec<Command>,
    kernel_config: KernelConfig,
    /// FLOP that a launch is to take at most, if there is a limit.
    most_flops: Option<u64>,
}

impl Recording {
    /// Nothing to do yet, for hardware.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing to do yet, for a device that computes in these ways.
    pub fn on(kernel_config: KernelConfig) -> Self {
        Self { kernel_config, ..Self::default() }
    }

    /// Kernels that can be divided by rows are launched several times from now on, so that no launch takes more FLOP than that.
    #[must_use]
    pub fn divided(self, most_flops: Option<u64>) -> Self {
        Self { most_flops, ..self }
    }

    /// What has been recorded so far; nothing is left to do.
    pub fn take(&mut self) -> Self {
        Self { commands: std::mem::take(&mut self.commands), ..*self }
    }

    /// The next commands, of at most `most` FLOP together if the first one is not more by itself, which then are no longer left to do;
    /// `None` when nothing is.
    pub fn take_piece(&mut self, most: u64) -> Option<Self> {
        let mut sum = 0;
        let fits = |command: &&Command| {
            sum += command.flops();
            sum <= most
        };
        let count = self.commands.iter().take_while(fits).count().max(1);
        let commands: Vec<Command> = self.commands.drain(..count.min(self.commands.len())).collect();
        (!commands.is_empty()).then(|| Self { commands, ..*self })
    }

    /// Whether a launch may take so many FLOP.
    pub fn fits(&self, flops: u64) -> bool {
        self.most_flops.is_none_or(|most| flops <= most)
    }

    /// The rows that launches of a kernel take which takes `flops` for `rows` rows, in multiples of `step`.
    pub fn divide(&self, rows: usize, flops: u64, step: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let share = match self.most_flops {
            Some(most) if most < flops => (rows as u128 * u128::from(most) / u128::from(flops)) as usize,
            _ => rows,
        };
        let whole = if share < rows { (share / step * step).max(step) } else { rows.max(1) };
        (0..rows).step_by(whole).map(move |first| first..rows.min(first + whole))
    }

    /// The launches of each kernel by themselves, in the order in which kernels come first. Copies are left out.
    pub fn by_kernel(&self) -> Vec<(Kernel, Self)> {
        let mut groups: Vec<(Kernel, Self)> = Vec::new();
        for command in &self.commands {
            let Command::Dispatch(Dispatch { kernel, .. }, _) = command else { continue };
            let known = groups.iter().position(|(known, _)| known == kernel);
            let index = known.unwrap_or_else(|| {
                groups.push((kernel.clone(), Self { commands: Vec::new(), ..*self }));
                groups.len() - 1
            });
            groups[index].1.commands.push(command.clone());
        }
        groups
    }

    /// The launches that are kept, without copies.
    #[must_use]
    pub fn only(mut self, keeps: impl Fn(&Dispatch) -> bool) -> Self {
        self.commands.retain(|command| matches!(command, Command::Dispatch(dispatch, _) if keeps(dispatch)));
        self
    }

    /// How its kernels are computed.
    pub fn kernel_config(&self) -> KernelConfig {
        self.kernel_config
    }

    /// Adds a kernel launch; an empty grid is left out.
    ///
    /// # Errors
    /// [`Error::LimitsTooSmall`] for a grid no device can run.
    pub fn dispatch(&mut self, dispatch: Dispatch) -> Result<()> {
        self.multiply(dispatch, 0)
    }

    /// As [`Self::dispatch`], of a kernel that takes `flops`: a multiply-add counts as two.
    ///
    /// # Errors
    /// As [`Self::dispatch`].
    pub fn multiply(&mut self, dispatch: Dispatch, flops: u64) -> Result<()> {
        if let Some(&groups) = dispatch.grid.iter().find(|&&groups| groups > MAX_GRID) {
            return Err(Error::LimitsTooSmall {
                limit: "maxComputeWorkgroupsPerDimension",
                what: format!("{} {}", dispatch.kernel.name(), dispatch.note),
                needed: groups.into(),
                available: MAX_GRID.into(),
            });
        }
        if !dispatch.grid.contains(&0) {
            self.commands.push(Command::Dispatch(dispatch, flops));
        }
        Ok(())
    }

    /// Adds a copy between two buffers.
    pub fn copy(&mut self, from: Slice, to: Slice) {
        self.commands.push(Command::Copy(from, to));
    }

    /// The steps in order.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// The kernel launches in order.
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.commands.iter().filter_map(|command| match command {
            Command::Dispatch(dispatch, _) => Some(dispatch),
            Command::Copy(..) => None,
        })
    }

    /// FLOP of all kernel launches, as far as they are counted: products and attention of many rows.
    pub fn flops(&self) -> u64 {
        self.commands.iter().map(Command::flops).sum()
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for command in &self.commands {
            match command {
                Command::Dispatch(Dispatch { kernel, note, grid: [x, y, z], .. }, _) => {
                    writeln!(f, "{:<16} {note} grid={x}x{y}x{z}", kernel.name())?;
                }
                Command::Copy(from, _) => writeln!(f, "{:<16} bytes={}", "copy", from.bytes)?,
            }
        }
        Ok(())
    }
}
