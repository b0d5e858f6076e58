//! Has cargo build the server again after the app was built: the embedded app is not among the crate's sources.

fn main() {
    // Cargo takes a missing folder for changed each time, so the folder is made. If that fails, the server is built
    // each time.
    drop(std::fs::create_dir_all("../dist"));
    println!("cargo::rerun-if-changed=../dist");
}
