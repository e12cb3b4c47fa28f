package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// alarmSources are where a running usher says that something is wrong: reasons of /readyz, error
// lines of the log, and why a partition stops. Paths are seen from this folder.
func alarmSources() []string {
	return []string{
		"*.go", "../../pipeline/*.go", "../../sinks/clickhouse/sink/*.go", "../../sinks/clickhouse/deliver/*.go",
	}
}

// ofCommands are the error lines of commands that a person starts and reads, and not of usher run.
func ofCommands(file string) bool {
	switch filepath.Base(file) {
	case "demo.go", "audit.go", "children.go":
		return true
	}
	return false
}

// TestEveryAlarmHasItsSection: whatever /readyz, an error line or a stopped partition says, an
// operator finds by its words in docs/operations.md.
func TestEveryAlarmHasItsSection(t *testing.T) {
	b, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	quoted := quotesOf(string(b))
	if len(quoted) < 30 {
		t.Fatalf("the runbook quotes %d texts only", len(quoted))
	}
	said := alarms(t)
	if len(said) < 25 {
		t.Errorf("only %d alarms were found in the code", len(said))
	}
	for text, where := range said {
		if !explained(text, quoted) {
			t.Errorf("%s says %q: no section of docs/operations.md quotes it", where, text)
		}
	}
}

// quotesOf are the texts in double quotes, cut at ellipses and placeholders.
func quotesOf(doc string) (out []string) {
	for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(doc, -1) {
		text := strings.Join(strings.Fields(m[1]), " ")
		for _, piece := range regexp.MustCompile(`…|\bN\b|\bM\b|%\w`).Split(text, -1) {
			if piece = strings.TrimSpace(piece); len(piece) >= 8 {
				out = append(out, piece)
			}
		}
	}
	return out
}

func explained(text string, quoted []string) bool {
	for _, q := range quoted {
		if strings.Contains(text, q) {
			return true
		}
	}
	return false
}

// alarms are the texts and where they stand.
func alarms(t *testing.T) map[string]string {
	t.Helper()
	out := make(map[string]string)
	fset := token.NewFileSet()
	for _, pattern := range alarmSources() {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") || ofCommands(name) {
				continue
			}
			file, err := parser.ParseFile(fset, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			collect(file, func(n ast.Node, text string) {
				out[text] = fset.Position(n.Pos()).String()
			})
		}
	}
	return out
}

// collect calls found for every text by which a file raises an alarm.
func collect(file *ast.File, found func(ast.Node, string)) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if strings.HasSuffix(strings.ToLower(n.Name.Name), "unready") || n.Name.Name == "expect" {
				texts(n.Body, found)
			}
		case *ast.CallExpr:
			f, ok := n.Fun.(*ast.SelectorExpr)
			if !ok || len(n.Args) == 0 {
				return true
			}
			switch {
			case f.Sel.Name == "Error" && len(n.Args) > 0: // of a logger: an error's takes nothing
				if s := text(n.Args[0]); s != "" {
					found(n, s)
				}
			case f.Sel.Name == "stop" || f.Sel.Name == "Errorf" && raises(n):
				texts(n, found)
			}
		}
		return true
	})
}

// raises reports whether an error is made of the alarm.
func raises(call *ast.CallExpr) bool {
	for _, a := range call.Args {
		if s, ok := a.(*ast.SelectorExpr); ok && s.Sel.Name == "ErrAlarm" {
			return true
		}
	}
	return false
}

// texts finds sentences: strings with a space in them.
func texts(in ast.Node, found func(ast.Node, string)) {
	ast.Inspect(in, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		if s := text(e); strings.Contains(strings.Trim(s, "; "), " ") {
			found(n, s)
			return false
		}
		return true
	})
}

// text joins the string literals of an expression.
func text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return s
		}
	case *ast.BinaryExpr:
		return text(e.X) + text(e.Y)
	}
	return ""
}
