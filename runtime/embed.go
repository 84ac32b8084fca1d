package rt

import "embed"

// Sources is this package and the ones below it as text: lorac carries them to
// the trainers it emits, which build without a network or a checkout.
//
//go:embed *.go data exit infer job microbatch python rng sys train weights
var Sources embed.FS
