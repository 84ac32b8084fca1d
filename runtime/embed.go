package rt

import "embed"

// Sources is this package and the ones below it as text: lorac carries them to
// the trainers it emits, which build without a network or a checkout.
//
//go:embed *.go checkpoint/*.go dataset/*.go peft/*.go safetensors/*.go tokenizer/*.go
var Sources embed.FS
