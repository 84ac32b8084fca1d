// Package configs embeds the configs that `lorac quickstart` runs. It holds data
// only, and must not know how a config is read.
package configs

import _ "embed"

// Quickstart fine-tunes the model of QuickstartBase by LoRA.
//
//go:embed quickstart.yaml
var Quickstart []byte

// QuickstartBase trains the base model of the quickstart from random weights.
//
//go:embed quickstart_base.yaml
var QuickstartBase []byte
