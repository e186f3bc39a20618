//! Work as data: a list of dispatches that can be printed, compared and run.

use std::fmt;

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
    /// Runs a kernel.
    Dispatch(Dispatch),
    /// Copies the first slice over the second, of equal length.
    Copy(Slice, Slice),
}

/// What the GPU is to do, in order.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    commands: Vec<Command>,
    kernel_config: KernelConfig,
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

    /// What has been recorded so far; nothing is left to do.
    pub fn take(&mut self) -> Self {
        Self { commands: std::mem::take(&mut self.commands), kernel_config: self.kernel_config }
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
        if let Some(&groups) = dispatch.grid.iter().find(|&&groups| groups > MAX_GRID) {
            return Err(Error::LimitsTooSmall {
                limit: "maxComputeWorkgroupsPerDimension",
                what: format!("{} {}", dispatch.kernel.name(), dispatch.note),
                needed: groups.into(),
                available: MAX_GRID.into(),
            });
        }
        if !dispatch.grid.contains(&0) {
            self.commands.push(Command::Dispatch(dispatch));
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
            Command::Dispatch(dispatch) => Some(dispatch),
            Command::Copy(..) => None,
        })
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for command in &self.commands {
            match command {
                Command::Dispatch(Dispatch { kernel, note, grid: [x, y, z], .. }) => {
                    writeln!(f, "{:<16} {note} grid={x}x{y}x{z}", kernel.name())?;
                }
                Command::Copy(from, _) => writeln!(f, "{:<16} bytes={}", "copy", from.bytes)?,
            }
        }
        Ok(())
    }
}
