// Package dashboards holds usher's Grafana boards and alert rules as Go, the JSON generated from it
// beside it, and the provisioning files that bring both into Grafana. Queries, variables and layout
// lie in files of their own; a test keeps the JSON equal to the Go (go test ./dashboards -rewrite).
package dashboards

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// files is what Write writes. The JSON is embedded rather than built, so that the binary does not
// carry the SDK.
//
//go:embed usher-*.json provisioning
var files embed.FS

// Write puts boards, alert rules and provisioning files into dir, which is made when it does not
// exist: usher-*.json and provisioning/{datasources,dashboards,alerting}/usher.*. Existing files of
// these names are replaced, others are left alone.
func Write(dir string) error {
	return fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(dir, filepath.FromSlash(path))
		if entry.IsDir() {
			if err := os.MkdirAll(target, 0o755); err != nil {
				return fmt.Errorf("cannot make the folder for the boards: %w", err)
			}
			return nil
		}
		content, err := files.ReadFile(path)
		if err != nil {
			return fmt.Errorf("cannot read the embedded %s: %w", path, err)
		}
		if err := os.WriteFile(target, content, 0o644); err != nil {
			return fmt.Errorf("cannot write a board: %w", err)
		}
		return nil
	})
}

// Boards are the boards as Grafana's JSON: the service board first, the others in order of name.
func Boards() ([][]byte, error) {
	names, err := fs.Glob(files, "usher-*.json")
	if err != nil {
		return nil, fmt.Errorf("cannot list the boards: %w", err)
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	boards := make([][]byte, 0, len(names))
	for _, name := range names {
		content, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("cannot read the embedded %s: %w", name, err)
		}
		boards = append(boards, content)
	}
	return boards, nil
}

// rank puts the boards that people look at first before the others.
func rank(name string) int {
	order := []string{"usher-service.json", "usher-routing.json", "usher-quality.json",
		"usher-pipeline.json", "usher-conversation.json"}
	if at := slices.Index(order, name); at >= 0 {
		return at
	}
	return len(order)
}
