//! Builds the server again when the app was built: what is embedded is not among cargo's sources.
#![expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]

fn main() {
    println!("cargo::rerun-if-changed=../dist");
}
