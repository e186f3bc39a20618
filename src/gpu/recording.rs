//! GPU work as data: a list of commands that can be printed, compared, counted and submitted.

use std::fmt;
use std::ops::Range;

use super::buffer::Slice;
use super::kernel::Kernel;
use super::kernel_config::KernelConfig;
use crate::error::{Error, Result};

/// Most workgroups in one dimension of a grid; the same on every device.
const MAX_GRID: u32 = 65_535;

/// One kernel launch.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// The kernel.
    pub kernel: Kernel,
    /// Uniform parameters; a multiple of 16 bytes.
    pub params: Vec<u8>,
    /// Slices for the storage bindings from 1 on.
    pub buffers: Vec<Slice>,
    /// Workgroups in x, y and z.
    pub grid: [u32; 3],
    /// Sizes for listings, such as `m=20 n=96 k=64`.
    pub note: String,
}

/// A command of a recording.
#[derive(Debug, Clone)]
pub enum Command {
    /// A launch and its FLOP, 0 if they are not counted.
    Dispatch(Dispatch, u64),
    /// Copies the first slice to the second of equal length.
    Copy(Slice, Slice),
}

impl Command {
    /// FLOP of the command, 0 if they are not counted.
    pub fn flops(&self) -> u64 {
        if let Self::Dispatch(_, flops) = self { *flops } else { 0 }
    }
}

/// GPU commands in order.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    commands: Vec<Command>,
    kernel_config: KernelConfig,
    /// Most FLOP of a launch, if limited.
    most_flops: Option<u64>,
}

impl Recording {
    /// An empty recording for hardware with the default configuration.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty recording for a device with this configuration.
    pub fn on(kernel_config: KernelConfig) -> Self {
        Self { kernel_config, ..Self::default() }
    }

    /// Limits the FLOP of a launch: kernels divisible by rows are launched several times.
    #[must_use]
    pub fn divided(self, most_flops: Option<u64>) -> Self {
        Self { most_flops, ..self }
    }

    /// Most FLOP of a launch, set by [`Self::divided`].
    pub fn most_flops(&self) -> u64 {
        self.most_flops.unwrap_or(u64::MAX)
    }

    /// Takes all commands and leaves an empty recording.
    pub fn take(&mut self) -> Self {
        Self { commands: std::mem::take(&mut self.commands), ..*self }
    }

    /// Takes the next commands of at most `most` FLOP together, at least one; `None` when empty.
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

    /// Returns true if a launch may take `flops`.
    pub fn fits(&self, flops: u64) -> bool {
        self.most_flops.is_none_or(|most| flops <= most)
    }

    /// Ranges of rows for launches of a kernel that takes `flops` for `rows` rows, in multiples of `step`.
    pub fn divide(&self, rows: usize, flops: u64, step: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let share = match self.most_flops {
            Some(most) if most < flops => (rows as u128 * u128::from(most) / u128::from(flops)) as usize,
            _ => rows,
        };
        let whole = if share < rows { (share / step * step).max(step) } else { rows.max(1) };
        (0..rows).step_by(whole).map(move |first| first..rows.min(first + whole))
    }

    /// One recording per kernel, in order of first use, without copies.
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

    /// The launches for which `keeps` returns true, without copies.
    #[must_use]
    pub fn only(mut self, keeps: impl Fn(&Dispatch) -> bool) -> Self {
        self.commands.retain(|command| matches!(command, Command::Dispatch(dispatch, _) if keeps(dispatch)));
        self
    }

    /// The configuration of its kernels.
    pub fn kernel_config(&self) -> KernelConfig {
        self.kernel_config
    }

    /// Adds a launch; an empty grid is skipped.
    ///
    /// # Errors
    /// [`Error::LimitsTooSmall`] for a grid that no device can run.
    pub fn dispatch(&mut self, dispatch: Dispatch) -> Result<()> {
        self.multiply(dispatch, 0)
    }

    /// Adds a launch that takes `flops`; a multiply-add counts as two.
    ///
    /// # Errors
    /// See [`Self::dispatch`].
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

    /// All commands in order.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// All launches in order.
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.commands.iter().filter_map(|command| match command {
            Command::Dispatch(dispatch, _) => Some(dispatch),
            Command::Copy(..) => None,
        })
    }

    /// FLOP of all launches. Only products and attention of many rows are counted.
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
