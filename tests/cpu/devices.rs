//! Classes of devices by their names and sizes.

use ocelli::gpu::DeviceClass;

#[test]
fn small_subgroups_tell_which_gpus_have_few_registers() {
    // Iris Xe, Mali; then Apple, NVIDIA, AMD, Adreno, and browsers that hide the sizes.
    let few = |sizes| DeviceClass::Hardware.has_few_registers("", sizes);
    assert_eq!([[8, 32], [16, 16]].map(few), [true; 2]);
    assert_eq!([[4, 64], [32, 32], [32, 64], [64, 128], [4, 128], [0, 0]].map(few), [false; 6]);
    assert!(!DeviceClass::SlowCompiler.has_few_registers("", [8, 8]));
}

#[test]
fn where_browsers_hide_the_sizes_of_subgroups_names_tell_which_gpus_have_few_registers() {
    let few = |name: &&str| DeviceClass::Hardware.has_few_registers(name, [0, 0]);
    let are_few = [
        "intel gen-12lp",
        "Intel(R) HD Graphics, or similar",
        "arm valhall",
        "ANGLE (ARM, Mali-G78, OpenGL ES 3.2)",
        "PowerVR Rogue GE8320",
        "broadcom v3d VideoCore VI",
    ];
    let are_many = ["apple metal-3", "nvidia lovelace", "amd rdna-2", "qualcomm adreno-7xx", "Charm 5", ""];
    assert_eq!(are_few.iter().map(few).collect::<Vec<_>>(), [true; 6]);
    assert_eq!(are_many.iter().map(few).collect::<Vec<_>>(), [false; 6]);
    assert!(!DeviceClass::Software.has_few_registers("intel", [0, 0]));
}
