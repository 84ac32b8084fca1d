// Package configs carries the configs that lorac runs without a file.
package configs

import _ "embed"

// Quickstart teaches a small model something new by LoRA.
//
//go:embed quickstart.yaml
var Quickstart []byte

// QuickstartBase makes that model, from nothing, by full training.
//
//go:embed quickstart_base.yaml
var QuickstartBase []byte
