//! Builds the server again when the app was built: what is embedded is not among cargo's sources.

fn main() {
    println!("cargo::rerun-if-changed=../dist");
}
