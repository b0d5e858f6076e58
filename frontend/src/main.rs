//! Entry point of the app: mounts the lab.

fn main() {
    fourways_app::mount();
}
