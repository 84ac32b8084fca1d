// Package reserve gives memory beside the collector's heap, which takes room
// only where it is touched, and is counted before it is used. It must not know
// what the memory is for.
package reserve
