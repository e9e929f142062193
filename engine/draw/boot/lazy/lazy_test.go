// This file tests what happens without the layout library: a program that does not link it has empty records. With the library, engine/draw tests it.

package lazy

import "testing"

func TestWithoutTheLibraryNothingIsPutOff(t *testing.T) {
	if Waiting() {
		t.Error("a start is put off that is not there")
	}
	Wake()
	for i, task := range tasks {
		if task.state != waiting {
			t.Errorf("record %d was changed to %d", i, task.state)
		}
	}
}
