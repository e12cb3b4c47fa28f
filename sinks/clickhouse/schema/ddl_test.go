package schema

import "testing"

func TestPrint(t *testing.T) {
	for _, x := range Tables() {
		t.Log(x.CreateTable())
	}
}
