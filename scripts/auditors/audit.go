// Verifies logs with the packages that Go's own checksum database is verified with: each directory named on standard
// input is a log. Printed is a line a log: "ok <size> <root>", or "refused <why>". With a second argument "proofs" it is a
// directory of entries (<stream>/<number>.json), each with its .tlog-proof beside it, and printed is "ok <how many>".
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"audit/note"
	"audit/tlog"
)

type directory string

func (d directory) Height() int { return 8 }

func (d directory) SaveTiles([]tlog.Tile, [][]byte) {}

func (d directory) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		// Go writes the height of its tiles into their paths; these logs have only one height.
		raw, err := os.ReadFile(filepath.Join(string(d), strings.Replace(tile.Path(), "tile/8/", "tile/", 1)))
		if err != nil {
			return nil, err
		}
		found = append(found, raw)
	}
	return found, nil
}

func open(path string, key note.Verifier) (tlog.Tree, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return tlog.Tree{}, err
	}
	return treeOf(raw, key)
}

func treeOf(raw []byte, key note.Verifier) (tlog.Tree, error) {
	var tree tlog.Tree
	signed, err := note.Open(raw, note.VerifierList(key))
	if err != nil {
		return tree, err
	}
	var origin, root string
	if _, err := fmt.Sscanf(signed.Text, "%s\n%d\n%s\n", &origin, &tree.N, &root); err != nil {
		return tree, err
	}
	if origin != key.Name() {
		return tree, fmt.Errorf("a note of %s", origin)
	}
	tree.Hash, err = tlog.ParseHash(root)
	return tree, err
}

func audit(log string) (tlog.Tree, error) {
	key, err := keyOf(os.Args[1])
	if err != nil {
		return tlog.Tree{}, err
	}
	tree, err := open(filepath.Join(log, "checkpoint"), key)
	if err != nil {
		return tree, err
	}
	reader := tlog.TileHashReader(tree, directory(log))
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil || root != tree.Hash {
		return tree, fmt.Errorf("another root: %v", err)
	}
	// Each hash that is read is proved to be under the root, tile by tile; each entry must hash to its leaf.
	for first := int64(0); first < tree.N; first += 256 {
		count := min(256, tree.N-first)
		indexes := make([]int64, count)
		for place := range indexes {
			indexes[place] = tlog.StoredHashIndex(0, first+int64(place))
		}
		leaves, err := reader.ReadHashes(indexes)
		if err != nil {
			return tree, err
		}
		tile := tlog.Tile{H: 8, L: -1, N: first / 256, W: int(count)}
		path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
		raw, err := os.ReadFile(filepath.Join(log, path))
		if err != nil {
			return tree, err
		}
		for _, leaf := range leaves {
			if len(raw) < 2 || len(raw) < 2+int(binary.BigEndian.Uint16(raw)) {
				return tree, fmt.Errorf("%s ends within an entry", path)
			}
			end := 2 + int(binary.BigEndian.Uint16(raw))
			if tlog.RecordHash(raw[2:end]) != leaf {
				return tree, fmt.Errorf("an entry of %s is not under the root", path)
			}
			raw = raw[end:]
		}
		if len(raw) != 0 {
			return tree, fmt.Errorf("%s is too long", path)
		}
	}
	earlier, _ := filepath.Glob(filepath.Join(log, "checkpoints", "*"))
	for _, path := range earlier {
		old, err := open(path, key)
		if err != nil {
			return tree, err
		}
		if old.N == 0 || old.N == tree.N {
			continue
		}
		proof, err := tlog.ProveTree(tree.N, old.N, reader)
		if err == nil {
			err = tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash)
		}
		if err != nil {
			return tree, fmt.Errorf("%s: %v", path, err)
		}
	}
	return tree, nil
}

func keyOf(path string) (note.Verifier, error) {
	line, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(strings.TrimSpace(string(line)))
}

func prove(path string, key note.Verifier) error {
	entry, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(strings.TrimSuffix(path, ".json") + ".tlog-proof")
	if err != nil {
		return err
	}
	head, signed, _ := strings.Cut(string(raw), "\n\n")
	tree, err := treeOf([]byte(signed), key)
	if err != nil {
		return err
	}
	lines := strings.Split(head, "\n")
	var index int64
	if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("%s has no proof", path)
	}
	if _, err := fmt.Sscanf(lines[1], "index %d", &index); err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}

func proofs(folder string) (int, error) {
	key, err := keyOf(os.Args[1])
	if err != nil {
		return 0, err
	}
	entries, err := filepath.Glob(filepath.Join(folder, "*", "*.json"))
	if err != nil {
		return 0, err
	}
	for _, path := range entries {
		if err := prove(path, key); err != nil {
			return 0, fmt.Errorf("%s: %v", path, err)
		}
	}
	return len(entries), nil
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if len(os.Args) > 2 && os.Args[2] == "proofs" {
			if count, err := proofs(lines.Text()); err != nil {
				fmt.Println("refused", strings.ReplaceAll(err.Error(), "\n", " "))
			} else {
				fmt.Println("ok", count)
			}
			continue
		}
		tree, err := audit(lines.Text())
		if err != nil {
			fmt.Println("refused", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("ok", tree.N, base64.StdEncoding.EncodeToString(tree.Hash[:]))
		}
	}
}
