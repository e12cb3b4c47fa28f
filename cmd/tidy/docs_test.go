package tidy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documentedCommand is a command line in code, in a block or inside a sentence.
var documentedCommand = regexp.MustCompile("(?m)(?:^|`|&& |[a-z] \\| )(?:bin/)?usher ([a-z]+)([^`|\n&]*)")

var (
	flagName = regexp.MustCompile(`(?:^|\s)--([a-z][a-z-]*)`)
	mdLink   = regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)]*)?\)`)
	target   = regexp.MustCompile("`?\\bmake ([a-z][a-z -]*)")
)

// pages returns the texts for users by their path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	root := moduleRoot(t)
	found := map[string]string{}
	paths, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		paths = append(paths, filepath.Join(root, name))
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found[path] = string(text)
	}
	if len(found) < 8 {
		t.Fatalf("found %d pages, the search is broken", len(found))
	}
	return found
}

// Every command that a page tells people to type is one of the binary's, with these flags.
func TestDocumentedCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary")
	}
	binary := filepath.Join(t.TempDir(), "usher")
	build := exec.Command("go", "build", "-o", binary, "./cmd/usher")
	build.Dir = moduleRoot(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build usher: %v\n%s", err, out)
	}
	help := map[string]string{}
	seen := 0
	for page, text := range pages(t) {
		text = strings.ReplaceAll(text, "\\\n", " ")
		for _, match := range documentedCommand.FindAllStringSubmatch(text, -1) {
			command := match[1]
			typed, _, _ := strings.Cut(match[2], "#") // what follows is a remark
			if _, asked := help[command]; !asked {
				out, err := exec.Command(binary, command, "--help").CombinedOutput()
				if err != nil || !strings.Contains(string(out), "usher "+command) {
					out = nil
				}
				help[command] = string(out)
			}
			if help[command] == "" {
				t.Errorf("%s: there is no `usher %s`", filepath.Base(page), command)
				continue
			}
			for _, flag := range flagName.FindAllStringSubmatch(typed, -1) {
				if !regexp.MustCompile(`--` + flag[1] + `\b`).MatchString(help[command]) {
					t.Errorf("%s: usher %s has no flag --%s", filepath.Base(page), command, flag[1])
				}
			}
			seen++
		}
	}
	if seen < 15 {
		t.Errorf("found %d commands in the pages, the search is broken", seen)
	}
}

// Every link between pages leads somewhere, and every make target named is there.
func TestDocumentedPlaces(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(moduleRoot(t), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for page, text := range pages(t) {
		for _, link := range mdLink.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), link[1])); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", filepath.Base(page), link[1])
			}
		}
		for _, block := range strings.Split(text, "```") {
			if !strings.HasPrefix(block, "sh\n") {
				continue
			}
			for _, match := range target.FindAllStringSubmatch(block, -1) {
				line, _, _ := strings.Cut(match[1], "  ")
				for _, name := range strings.Fields(line) {
					if !strings.Contains(string(makefile), "\n"+name+":") {
						t.Errorf("%s: make has no target %s", filepath.Base(page), name)
					}
				}
			}
		}
	}
}
