//! The memory of this process.

/// Gives the memory back to the system that the allocator keeps for later. Walks through all of it, which can take some
/// milliseconds; other allocators than glibc's do that by themselves.
pub fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: may be called at any time from any thread; it takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
