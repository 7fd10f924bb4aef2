/* stand-in for the source of module gdrdrv */
