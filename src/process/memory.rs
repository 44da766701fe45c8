//! The memory of this process.

/// What is at least this long is taken from the system by itself and given back at once: a message with
/// thousands of jobs, and the lists that are made of it.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 1 << 20;

/// Has large pieces of memory given back to the system as soon as they are free. By itself, glibc comes to keep pieces
/// up to 32 MiB once a large one was freed (`M_MMAP_THRESHOLD` in mallopt(3)); other allocators do not.
pub fn keep_no_large_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes the allocator's own locks and changes one of its numbers.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Gives the memory back to the system that the allocator keeps for later. Walks through all of it, which can take some
/// milliseconds; other allocators than glibc's do that by themselves.
pub fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: may be called at any time from any thread; it takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
