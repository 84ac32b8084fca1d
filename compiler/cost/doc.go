// Package cost says what a module takes: FLOPs, bytes, pages of the arena, the
// memory of a process. These are analyses: a module is read, never changed.
// What depends on the machine comes in as a Device. It must not know passes,
// kernels or the runtime.
package cost
