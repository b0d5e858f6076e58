//! Mounts the lab.

fn main() {
    fourways_app::mount();
}
