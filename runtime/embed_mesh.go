package rt

import "embed"

// MeshSources is what trainers have besides where several processes share each layer.
//
//go:embed mesh
var MeshSources embed.FS
