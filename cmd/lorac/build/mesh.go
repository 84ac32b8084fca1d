package build

import (
	"lorac/cmd/lorac/cli"
	"lorac/compiler"
	"lorac/ir"
)

// Mesh is how processes share each step: the axes that change the program. Processes
// that share its rows do not.
type Mesh []ir.Axis

// MeshOf reads --mesh. The number of processes follows from it; one that --workers
// says, too, must be the same.
func MeshOf(text string, workers *int) (Mesh, error) {
	if text == "" {
		return nil, nil
	}
	axes, err := compiler.ParseMesh(text)
	if err != nil {
		return nil, cli.Usage("--mesh: %w", err)
	}
	n := 1
	var out Mesh
	for _, a := range axes {
		n *= a.N
		if a.Name != ir.Data && a.N > 1 {
			out = append(out, a)
		}
	}
	if *workers > 0 && *workers != n {
		return nil, cli.Usage("--mesh %s is of %d processes, --workers says %d", text, n, *workers)
	}
	*workers = n
	return out, nil
}
