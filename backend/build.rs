//! Builds the server again when the app was built: what is embedded is not among cargo's sources.

fn main() {
    // A folder that is not there counts as changed each time. Where it can't be made, the server is built each time.
    drop(std::fs::create_dir_all("../dist"));
    println!("cargo::rerun-if-changed=../dist");
}
