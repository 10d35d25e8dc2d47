# Links the static archives of MLIR and of the few LLVM libraries below it. The imported targets of
# Debian's packages name libLLVM.so in their link interfaces, so the closure is walked here and the
# shared library left out.
find_package(MLIR 19.1 REQUIRED CONFIG HINTS /usr/lib/llvm-19/lib/cmake/mlir)

# The archives of `roots` and of all that they need. Packages of MLIR name libLLVM.so, so that the
# libraries of LLVM below them are roots too.
function(lathe_mlir_archives result)
  set(pending ${ARGN} LLVMSupport LLVMDemangle LLVMTargetParser)
  set(seen "")
  set(archives "")
  while(pending)
    list(POP_FRONT pending target)
    if(target IN_LIST seen OR NOT target MATCHES "^(MLIR|LLVM.)" OR NOT TARGET ${target})
      continue()
    endif()
    list(APPEND seen ${target})
    get_target_property(needs ${target} INTERFACE_LINK_LIBRARIES)
    if(needs)
      list(APPEND pending ${needs})
    endif()
    if(EXISTS "${LLVM_LIBRARY_DIR}/lib${target}.a")  # Some targets have headers only.
      list(APPEND archives "${LLVM_LIBRARY_DIR}/lib${target}.a")
    endif()
  endwhile()
  foreach(name z zstd tinfo)
    find_library(LATHE_LIB_${name} NAMES lib${name}.a ${name} REQUIRED)
    list(APPEND archives ${LATHE_LIB_${name}})
  endforeach()
  set(${result} ${archives} PARENT_SCOPE)
endfunction()

# Everything of MLIR that the compiler and its tools link; an archive costs nothing where none of
# its objects is needed.
add_library(lathe_mlir INTERFACE)
lathe_mlir_archives(archives MLIRIR MLIRArithDialect MLIRMathDialect MLIRPass MLIRTransforms
                    MLIROptLib)
list(JOIN archives "," archives)
target_link_libraries(lathe_mlir INTERFACE "$<LINK_GROUP:RESCAN,${archives}>" Threads::Threads
                                           ${CMAKE_DL_LIBS})
target_include_directories(lathe_mlir SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})

# What the CPU target links beside it: the dialects that it lowers to, their way to LLVM IR, and
# LLVM's own way from there to code in memory, for the processor that it was configured on.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(LATHE_NATIVE AArch64)
else()
  set(LATHE_NATIVE X86)
endif()
add_library(lathe_mlir_jit INTERFACE)
lathe_mlir_archives(archives MLIRSCFDialect MLIRVectorDialect MLIRFuncDialect MLIRLLVMDialect
                    MLIRSCFToControlFlow MLIRVectorToLLVM MLIRArithToLLVM MLIRMathToLLVM
                    MLIRFuncToLLVM MLIRControlFlowToLLVM MLIRTargetLLVMIRExport
                    MLIRLLVMToLLVMIRTranslation MLIRBuiltinToLLVMIRTranslation
                    LLVMOrcJIT LLVM${LATHE_NATIVE}CodeGen LLVMScalarOpts LLVMInstCombine)
list(JOIN archives "," archives)
target_link_libraries(lathe_mlir_jit INTERFACE "$<LINK_GROUP:RESCAN,${archives}>"
                                               Threads::Threads ${CMAKE_DL_LIBS})
target_include_directories(lathe_mlir_jit SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS}
                                                           ${MLIR_INCLUDE_DIRS})
target_compile_definitions(lathe_mlir_jit INTERFACE LATHE_NATIVE=${LATHE_NATIVE})

# mlir-tblgen over one .td file: lathe_tablegen(source.td [output generator]...)
function(lathe_tablegen source)
  cmake_path(GET source STEM stem)
  set(generated ${LATHE_GENERATED})
  set(arguments ${ARGN})
  while(arguments)
    list(POP_FRONT arguments output generator)
    string(REPLACE " " ";" generator "${generator}")
    add_custom_command(
      OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${output}
      COMMAND ${LATHE_MLIR_TBLGEN} ${generator} -I ${PROJECT_SOURCE_DIR} -I ${MLIR_INCLUDE_DIRS}
              ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${CMAKE_CURRENT_BINARY_DIR}/${output}
              --write-if-changed -d ${CMAKE_CURRENT_BINARY_DIR}/${output}.d
      DEPFILE ${CMAKE_CURRENT_BINARY_DIR}/${output}.d
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source}
      VERBATIM)
    list(APPEND generated ${CMAKE_CURRENT_BINARY_DIR}/${output})
  endwhile()
  set(LATHE_GENERATED ${generated} PARENT_SCOPE)
endfunction()

find_program(LATHE_MLIR_TBLGEN NAMES mlir-tblgen-19 mlir-tblgen HINTS ${LLVM_TOOLS_BINARY_DIR}
             REQUIRED)
