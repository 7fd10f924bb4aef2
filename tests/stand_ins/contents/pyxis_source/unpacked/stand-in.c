/* stand-in for pyxis: a plugin that Slurm loads, and that starts no container. It has one option of the real one, and knows its
 * settings by name (NVIDIA/pyxis v0.24.0 config.c). */
#include <slurm/spank.h>
#include <string.h>
#include <sys/stat.h>

SPANK_PLUGIN(pyxis, 1)

static const char *known[] = {"runtime_path=", "execute_entrypoint=", "container_scope=", "sbatch_support=",
                              "use_enroot_load=", "importer=", "use_squashfuse="};

static int image(int value, const char *given, int remote)
{
    if (!remote)
        slurm_error("stand-in: it starts no container of %s", given);
    return ESPANK_ERROR;
}

static struct spank_option option = {"container-image", "IMAGE", "[pyxis] stand-in: it starts no container.", 1, 0, image};

int slurm_spank_init(spank_t spank, int count, char **words)
{
    const char *runtime = "/run/pyxis";

    for (int i = 0; i < count; i++) {
        size_t name = 0;
        while (name < sizeof(known) / sizeof(*known) && strncmp(known[name], words[i], strlen(known[name])) != 0)
            name++;
        if (name == sizeof(known) / sizeof(*known)) {
            slurm_error("pyxis: unknown configuration option: %s", words[i]);
            return -1;
        }
        if (name == 0)
            runtime = words[i] + strlen(known[0]);
    }
    if (spank_context() == S_CTX_SLURMD) {
        slurm_info("pyxis: version v" PYXIS_VERSION);
        mkdir(runtime, 0755);
        return 0;
    }
    return spank_option_register(spank, &option) == ESPANK_SUCCESS ? 0 : -1;
}
