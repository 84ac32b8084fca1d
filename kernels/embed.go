package kernels

import "embed"

// Sources is this package as text, for the trainers lorac emits.
//
//go:embed *.go simd/*.go simd/*.s
var Sources embed.FS
