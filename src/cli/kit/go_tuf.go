// Follows the trust root with go-tuf: go get github.com/theupdateframework/go-tuf/v2
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"
)

const url = "https://tuf.example.org"

func main() {
	first, err := os.ReadFile("1.root.json")
	if err != nil {
		log.Fatal(err)
	}
	settings, err := config.New(url, first)
	if err != nil {
		log.Fatal(err)
	}
	settings.LocalMetadataDir = "metadata"
	settings.LocalTargetsDir = "."
	settings.RemoteTargetsURL = url + "/targets"
	settings.PrefixTargetsWithHash = true
	client, err := updater.New(settings)
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Refresh(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("up to date: everything in metadata is verified")
}
