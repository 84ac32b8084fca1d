package build

import (
	"fmt"

	"lorac/compiler"
	"lorac/ir"
)

// CompleteMesh adds to a mesh that does not say how many share the rows (dp) what
// follows from a number of processes that something else decides; 0: nothing does.
func CompleteMesh(text string, processes int) string {
	axes, err := compiler.ParseMesh(text)
	if text == "" || err != nil { // MeshOf says it
		return text
	}
	n, shards := 1, 1
	for _, a := range axes {
		switch a.Name {
		case ir.Data:
			return text
		case ir.Optimizer:
			shards = a.N // which are of dp
		default:
			n *= a.N
		}
	}
	if processes == 0 || processes%(n*shards) != 0 {
		return text
	}
	return fmt.Sprintf("%s,dp=%d", text, processes/n)
}
