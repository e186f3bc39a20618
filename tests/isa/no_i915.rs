//! Replacement of the kernel driver of Intel's GPUs for a process that only compiles: Mesa's ANV finds an Iris Xe (Tiger Lake), whose
//! memory is the process's own. Every request is granted, and nothing runs.
//!
//! A library of its own, which `intel.rs` compiles and preloads: libdrm's list of devices, and `ioctl`. Numbers and structures are those of
//! `i915_drm.h` and `xf86drm.h`.

use std::ffi::{CString, c_char, c_int, c_long, c_ulong, c_void};
use std::sync::{LazyLock, Mutex, MutexGuard};

/// Limit of the device's memory; only written pages take any.
const MEMORY: i64 = 1 << 40;
const INTEL: u16 = 0x8086;
/// Iris Xe Graphics of an 11th generation Core.
const TIGER_LAKE_GT2: u16 = 0x9a49;
const SUBSLICES: u16 = 6;
const UNITS_OF_SUBSLICE: u16 = 16;
/// Result of an unsupported query item.
const EINVAL: i32 = 22;

/// Kinds of `drm_i915_getparam`.
const CHIPSET_ID: i32 = 4;
const SUBSLICE_TOTAL: i32 = 33;
const EU_TOTAL: i32 = 34;
const MMAP_GTT_VERSION: i32 = 40;
const SUBSLICE_MASK: i32 = 47;
const CS_TIMESTAMP_FREQUENCY: i32 = 51;

/// `drmPciDeviceInfo`.
#[repr(C)]
struct PciDevice {
    vendor: u16,
    device: u16,
    subvendor: u16,
    subdevice: u16,
    revision: u8,
}

/// `drmDevice`.
#[repr(C)]
struct Device {
    nodes: *mut *mut c_char,
    available_nodes: c_int,
    bus_type: c_int,
    bus: *mut [u16; 4],
    info: *mut PciDevice,
}

unsafe extern "C" {
    fn memfd_create(name: *const c_char, flags: u32) -> c_int;
    fn ftruncate(fd: c_int, length: i64) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
}

/// A file in memory, by the name of its descriptor: the driver has room for 19 characters.
static NODE: LazyLock<CString> = LazyLock::new(|| {
    // SAFETY: a name that ends; a descriptor that stays open.
    let fd = unsafe { memfd_create(c"device".as_ptr(), 0) };
    // SAFETY: as above.
    unsafe { ftruncate(fd, MEMORY) };
    CString::new(format!("/proc/self/fd/{fd}")).unwrap_or_default()
});

/// A device that is never freed, as [`drmFreeDevice`] does nothing.
fn device() -> *mut Device {
    let node = || NODE.clone().into_raw();
    let info = PciDevice { vendor: INTEL, device: TIGER_LAKE_GT2, subvendor: 0, subdevice: 0, revision: 1 };
    Box::into_raw(Box::new(Device {
        // Primary, control and render.
        nodes: Box::into_raw(Box::new([node(), node(), node()])).cast(),
        available_nodes: 0b101,
        // PCI.
        bus_type: 0,
        bus: Box::into_raw(Box::new([0; 4])),
        info: Box::into_raw(Box::new(info)),
    }))
}

/// # Safety
/// `devices` is null or has room for `max`.
#[unsafe(no_mangle)]
unsafe extern "C" fn drmGetDevices2(_flags: u32, devices: *mut *mut Device, max: c_int) -> c_int {
    if !devices.is_null() && max > 0 {
        // SAFETY: the caller's promise.
        unsafe { *devices = device() };
    }
    1
}

/// # Safety
/// `out` may be written to.
#[unsafe(no_mangle)]
unsafe extern "C" fn drmGetDevice2(_fd: c_int, _flags: u32, out: *mut *mut Device) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { *out = device() };
    0
}

#[unsafe(no_mangle)]
extern "C" fn drmFreeDevice(_device: *mut *mut Device) {}

#[unsafe(no_mangle)]
extern "C" fn drmFreeDevices(_devices: *mut *mut Device, _count: c_int) {}

/// Start of the buffer of each handle in the file, and end of the last one. Handles begin with 1.
static BEGINS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

fn begins() -> MutexGuard<'static, Vec<u64>> {
    BEGINS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The handle of a new buffer, or of something without bytes.
fn new_handle(bytes: u64) -> u32 {
    let mut begins = begins();
    if begins.is_empty() {
        begins.push(0);
    }
    let end = begins[begins.len() - 1] + bytes.next_multiple_of(2 << 20);
    begins.push(end);
    begins.len() as u32 - 1
}

/// `drm_i915_query_topology_info`: sizes and offsets, then a mask of slices, of subslices and of the units of each.
fn topology() -> Vec<u8> {
    let head = [0, 1, SUBSLICES, UNITS_OF_SUBSLICE, 1, 1, 2, 2];
    let mut bytes: Vec<u8> = head.into_iter().flat_map(u16::to_le_bytes).collect();
    bytes.extend([1, (1 << SUBSLICES) - 1]);
    bytes.extend([0xff; (SUBSLICES * UNITS_OF_SUBSLICE / 8) as usize]);
    bytes
}

fn parameter(kind: i32) -> i32 {
    match kind {
        CHIPSET_ID => TIGER_LAKE_GT2.into(),
        SUBSLICE_TOTAL => SUBSLICES.into(),
        EU_TOTAL => (SUBSLICES * UNITS_OF_SUBSLICE).into(),
        SUBSLICE_MASK => (1 << SUBSLICES) - 1,
        MMAP_GTT_VERSION => 4,
        CS_TIMESTAMP_FREQUENCY => 19_200_000,
        // All capabilities are available.
        _ => 1,
    }
}

/// # Safety
/// `arg` is a `drm_i915_query` with its items.
unsafe fn query(arg: *mut u8) {
    // SAFETY: the caller's promise; an item is 24 bytes, and has room for as many as it says.
    unsafe {
        let items = *arg.add(8).cast::<u64>() as *mut u8;
        for index in 0..*arg.cast::<u32>() as usize {
            let item = items.add(24 * index);
            let (kind, length, data) = (*item.cast::<u64>(), item.add(8).cast::<i32>(), *item.add(16).cast::<u64>());
            // The driver is treated as an old one without the other queries.
            let bytes = if kind == 1 { topology() } else { Vec::new() };
            if usize::try_from(*length).is_ok_and(|room| room >= bytes.len()) {
                data_at(data, &bytes);
            }
            *length = if bytes.is_empty() { -EINVAL } else { bytes.len() as i32 };
        }
    }
}

/// # Safety
/// `address` has room for the bytes.
unsafe fn data_at(address: u64, bytes: &[u8]) {
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) };
}

/// `ioctl` on x86-64.
const SYS_IOCTL: c_long = 16;

/// # Safety
/// The same as for the C library's function.
#[unsafe(no_mangle)]
unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int {
    if request >> 8 & 0xff != c_ulong::from(b'd') {
        // SAFETY: what the caller would have called.
        return unsafe { syscall(SYS_IOCTL, fd, request, arg) } as c_int;
    }
    let arg = arg.cast::<u8>();
    // SAFETY: each request brings the structure of its number.
    unsafe {
        match request & 0xff {
            // DRM_GET_CAP, DRM_SYNCOBJ_CREATE
            0x0c => *arg.add(8).cast::<u64>() = 1,
            0xbf => *arg.cast::<u32>() = new_handle(0),
            // I915_GETPARAM, QUERY
            0x46 => *(*arg.add(8).cast::<u64>() as *mut i32) = parameter(*arg.cast::<i32>()),
            0x79 => query(arg),
            // I915_GEM_CREATE, GEM_CREATE_EXT, GEM_USERPTR, GEM_MMAP_OFFSET
            0x5b | 0x7c => *arg.add(8).cast::<u32>() = new_handle(*arg.cast::<u64>()),
            0x73 => *arg.add(20).cast::<u32>() = new_handle(*arg.add(8).cast::<u64>()),
            0x64 => *arg.add(8).cast::<u64>() = begins().get(*arg.cast::<u32>() as usize - 1).copied().unwrap_or_default(),
            // I915_GEM_CONTEXT_CREATE, GEM_CONTEXT_GETPARAM: the bytes that addresses reach
            0x6d => *arg.cast::<u32>() = 1,
            0x74 => *arg.add(16).cast::<u64>() = 1 << 48,
            _ => {}
        }
    }
    0
}
