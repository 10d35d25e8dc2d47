# Writes OUTPUT: a table of (path, text) of the TEMPLATES below ROOT.
set(text "// Generated from templates/.\n#include \"templates/Templates.h\"\n\nnamespace lathe {\n")
string(APPEND text "const Template kTemplates[] = {\n")
foreach(template IN LISTS TEMPLATES)
  file(READ ${ROOT}/${template} content)
  string(APPEND text "{\"templates/${template}\", R\"lathe(${content})lathe\"},\n")
endforeach()
string(APPEND text "{nullptr, nullptr}};\n}  // namespace lathe\n")
file(WRITE ${OUTPUT} "${text}")
