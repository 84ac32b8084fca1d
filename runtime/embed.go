package rt

import "embed"

// Sources is this package and the ones below it as text: lorac carries them to
// the trainers it emits, which build without a network or a checkout.
//
//go:embed *.go checkpoint/*.go ckpt/*.go dataset/*.go gguf/*.go llama2c/*.go mapped/*.go mindrecord/*.go peft/*.go pth/*.go quantise/*.go reserve/*.go safetensors/*.go strategy/*.go tensorfile/*.go tokenizer/*.go wire/*.go
var Sources embed.FS
